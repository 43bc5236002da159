"""Operations on files in models folders and in the work folder: stage, place, replace, remove, restore."""
