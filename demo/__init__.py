"""Everything a browser sees.

The files import each other by relative names, as a wheel has this folder as `mcm_core.demo`: see setup.py.
"""
