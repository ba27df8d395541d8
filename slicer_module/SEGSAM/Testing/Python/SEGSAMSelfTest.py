"""Runs the module's self-test in a Slicer without main window, for `ctest`."""

from __future__ import annotations

import unittest

from SEGSAM import SEGSAMTest

if __name__ == "__main__":
    test = SEGSAMTest()
    unittest.TextTestRunner(verbosity=2).run(unittest.FunctionTestCase(test.runTest))
