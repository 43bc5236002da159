"""The pickle scanner: a sandbox program that checks pickle files without unpickling them.

It runs this folder and the standard library only (``python -I -S``), as a package of its own named
``pickle_scanner``: every import in here is relative or of the standard library, and a test enforces that.

    program.py    resource limits, the protocol over standard input and output, the verdict
    ranges.py     byte ranges of the file, requested from the parent process
    containers.py what torch.save writes: a zip, or a stream of pickles (before torch 1.6)
    zips.py       the rules for a zip that every reader reads the same way
    tar.py        detection of a tar that starts like a pickle
    interpreter.py    abstract interpretation of a pickle's opcodes: nothing is executed
    opcodes.py    the opcodes that torch reads, and their arguments
    values.py     abstract values on the interpreter's stack, with depth and weight
    calls.py      which functions may be called, and with what arguments
    tensors.py    the calls that build tensors, which must lie within their storage
    budget.py     limits of one scan
    conversion.py     the program that finds tensors and their places, for a conversion to safetensors
    imports.py    a list of what a refused file imports, for people
    allowed.py    the globals that a file of tensors needs
"""
