"""Meta-World: fifty tasks of a Sawyer arm on MuJoCo, with scripted experts; needs the extra `metaworld`.

The Gymnasium environment is "robovlms/MetaWorld-v0".
"""
