"""Where pairs of picture and drawing come from when nobody has any: from photos, or from the base itself."""
