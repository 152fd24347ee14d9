"""Numbers that describe a region of a slice, and classifiers of them: docs/papers/khan-vgg-segnet.md.

One feature, one file: `phog.phog`, `glcm.glcm`, `lbp.lbp`, `deep.deep_features`; `join.handcrafted` and `join.join` put
them in a row, `classify.cross_validated` tries classifiers on them.
"""
