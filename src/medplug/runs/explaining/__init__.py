"""Maps of images: which are asked for, making them in batches, and the folder of pictures that they become."""
