"""The commands, one file each: options, help, and the call of what does the work in the other rooms of `app`."""
