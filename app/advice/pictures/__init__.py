"""What `tuition recommend --plots` draws: one file a picture, each with the frame that it is drawn from."""
