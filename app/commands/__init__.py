"""The options and help of the commands, one file a topic; what they do lies in the other rooms of `app`."""
