"""What pyproject.toml cannot say: the folder configs/ beside src/ is the package maskfold.configs in a wheel."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages("src"), "maskfold.configs"],
    package_dir={"": "src", "maskfold.configs": "configs"},
    package_data={"maskfold.configs": ["*.yaml", "studies/*.yaml"]},
)
