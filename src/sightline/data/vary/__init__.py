"""Variants of training images: policies, their geometry, copies."""
