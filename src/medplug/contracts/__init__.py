"""The contracts of each kind of component, one file a kind; ``medplug plugins show KIND`` prints them.

Letters in shapes: B images of a batch, N samples of a split, K classes, C channels, S spatial axes
(two as a rule, three for volumes), D feature channels, T target classes, M metadata columns.
"""
