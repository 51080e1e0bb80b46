"""Do blocks that share beginnings rank splits as the ordinary runs do that one deploys?"""
