"""Push and pull models of many files.

contents.py        the files of a local folder, as they were when it was listed
record.py          what an interrupted push has uploaded
progress.py        the progress of all files as that of the folder
push.py            upload the files of a folder and register it as one model
urls.py            the files of a folder model and their download URLs, page by page
partial_folder.py  the folder in which the files of a pull are collected, and what killed pulls left
pull.py            download all files of a folder model and place it as one folder
replacing.py       a folder that a pulled one replaces: deleted if it is a version of the model, else kept
"""
