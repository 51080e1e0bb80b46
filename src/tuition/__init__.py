"""Tuition: what should each label teach, the teacher or the student?"""
