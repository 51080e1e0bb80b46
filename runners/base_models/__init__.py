"""Base models that need no Hub: the tiny ones of `micro`, made from scratch, and those of `smol`."""
