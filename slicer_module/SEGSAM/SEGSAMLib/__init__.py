"""Library of the SEG-SAM module for 3D Slicer.

    Widget                  the panel
      └─► Panels            its sections                        Qt
            └─► Workflow    actions, started in threads
                  ├─► Scene     nodes of the scene              MRML and VTK
                  │     └─► Parameters   of scene and computer
                  │           └─► Values
                  └─► Server    HTTP, threads, local server     standard library
                        └─► Values      geometry, masks, ...    numpy

A file imports from its own folder and from those below it in this figure, and `Errors` and
`Translation` from anywhere. `Scene` and `Server` do not import each other, `Values` imports nothing
else of ours (`tests/slicer/test_extension.py` checks this). `SelfTest` opens the panel inside
Slicer.

Python 3.9 to 3.12 with numpy 1 or 2 and the packages that 3D Slicer bundles. Nothing is installed,
contacted or computed on import.
"""
