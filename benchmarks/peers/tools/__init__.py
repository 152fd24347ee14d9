"""One file a tool. Each is read by the registry, and run as a script by the Python that has the tool installed.

Nothing but the standard library is imported at the top. `python -P` keeps a file here from hiding the package that it
is called after. A file states:

    NAME            as in the tables
    PACKAGE         what `pip install` calls it; None for a program of the system
    NEEDS           what else must be installed beside it, optional
    MODULE          what is imported to see whether it works (PACKAGE only)
    PROGRAM         what must be found on PATH (PACKAGE = None only)
    MAKES           "image", "masks" or both
    IMAGES, MASKS   patterns of what it writes, relative to OUT
    commands(python, case, out)   what is timed: row of the table -> command; `case` holds ct/ and rtstruct/rs.dcm
    judged(python, case, out)     what is judged, where that is not the first of `commands`
    many(python, folder, out, jobs)   its own way to convert all patients of a folder at once, if it has one
"""
