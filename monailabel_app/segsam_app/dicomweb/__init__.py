"""Studies on a DICOMweb server: series are fetched when they are opened, labels are stored here and
sent there as DICOM segmentations.
"""
