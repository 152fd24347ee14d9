"""A made thorax with exact truth, written as DICOM CT and RTSTRUCT: what the demo and most tests run on."""

from data_prep.phantom.cohort import write_cohort
from data_prep.phantom.options import PhantomOptions
from data_prep.phantom.patient import Patient, make_patient

__all__ = ["Patient", "PhantomOptions", "make_patient", "write_cohort"]
