"""The main job: a model from its source to a measured result on one device."""
