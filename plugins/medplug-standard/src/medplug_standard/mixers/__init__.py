"""Mixers: new training images out of two, with the targets of both in the same shares."""
