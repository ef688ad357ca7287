"""Augmenters: random changes of training images, in pure JAX inside the compiled step.

Each module holds a pure function with explicit parameters per operation (``apply_brightness(images, delta)``)
and a component that draws those parameters from a key. Images are ``[B, *S, C]`` float32 in [0, 1] with two
or more spatial axes; geometric operations act in the plane of the last two, alike in all slices of a volume.
"""
