"""Studies on a DICOMweb server: series are fetched when somebody works on them, labels are kept
here and stored there as DICOM segmentations.
"""
