"""The cage: a process that looks at pickle files and can do nothing else.

It runs this folder and the standard library only (``python -I -S``), as a package of its own named ``cage``: every
import in here is relative or of the standard library, and a test keeps it so. It never unpickles.

    program.py    the limits, the conversation over standard input and output, the verdict
    ranges.py     bytes of the file, asked from the other side
    containers.py what torch.save writes: a zip, or a stream of pickles (before torch 1.6)
    zips.py       the rules for a zip that no two readers can read differently
    walking.py    a pickle's opcodes, followed without executing anything
    shadows.py    what stands for values meanwhile
    allowed.py    the globals that a file of tensors needs
"""
