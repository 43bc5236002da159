"""Workflows inside pictures, videos and audio files, at the places where ComfyUI writes them.

extract.py  ``extract_workflow``: the JSON text of a file of any kind
png.py      text chunks of PNG and animated PNG
exif.py     EXIF tags, of WebP and AVIF
webp.py     the EXIF chunk of WebP
avif.py     the EXIF item of AVIF
mp4.py      metadata keys of MP4 and MOV
boxes.py    the boxes of which AVIF and MP4 consist
webm.py     tags of WebM and Matroska
vorbis.py   comments of FLAC, Ogg Opus and Ogg Vorbis
id3.py      text frames of MP3
svg.py      the metadata element of SVG
glb.py      extra members of the asset in GLB
safetensors.py  the metadata of safetensors, as of .latent files

ComfyUI writes two texts: ``prompt``, what was executed in API format, and ``workflow``, the graph in UI format. Each
module returns the texts by these names. ``workflow`` is preferred: it is what ComfyUI's page opens, it declares
addresses, hashes and folders, and contains muted nodes, which ``prompt`` lacks.

Sizes in a file are never trusted: what is past the end of the data is left out.
"""
