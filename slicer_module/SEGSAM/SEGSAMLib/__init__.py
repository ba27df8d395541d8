"""Everything of the SEG-SAM module below its widget, without Qt.

    Widget (not here) ─► Workflow ─► Client ─► Http, Address, Replies, Images     HTTP only
                             │  └──► Worker                                       threads
                             └────► Logic ─► PromptNodes, Segments                MRML only
                                       └───► Geometry, Masks, Prompts, History    numpy only
                                       └───► Terminology, Parameters              plain data

Python 3.9 to 3.12 with numpy 1 or 2 and what 3D Slicer bundles; nothing is installed or contacted
when it is imported.
"""
