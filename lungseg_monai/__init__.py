"""lungseg-monai: lungs and lung tumours out of chest images, on MONAI."""
