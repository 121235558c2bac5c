"""What pyproject.toml cannot say: where the page and the assets lie in a wheel.

In a checkout, and so in a Space, they are folders beside `mcm_core`. In site-packages such names would stand
in the way of others, so that there they are `mcm_core.demo` and `mcm_core/assets`.
"""

from setuptools import find_packages, setup

page = find_packages(include=["demo", "demo.*"])

setup(
    packages=[
        *find_packages(include=["mcm_core", "mcm_core.*"]),
        *(f"mcm_core.{package}" for package in page),
        "mcm_core.assets",
    ],
    package_dir={"mcm_core.demo": "demo", "mcm_core.assets": "assets"},
)
