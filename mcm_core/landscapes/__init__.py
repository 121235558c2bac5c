"""The embedded world: poster landscapes rendered with their label map, their sketch and a caption."""
