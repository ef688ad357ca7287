"""How far maps can be believed: measures as pure functions, NumPy in and NumPy out.

N images, ``*S`` their two or three spatial axes, C channels. Images are standardised float32, as the network sees them;
maps are ``[N, *S]``, signed, at the size of the images (:func:`~medplug.explain.faithfulness.resizing.to_input_size`).
``score(images [M, *S, C], classes [M]) -> [M]`` is a
:class:`~medplug.explain.faithfulness.scoring.Scorer` or any function like it. A figure that is not defined is NaN; each
function says when. The figures of an image depend on that image and its seed alone.
"""
