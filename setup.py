"""Build the one extension: the compiled face and the kernels of every instruction set, all at the compiler's baseline.

Environment variables: TEMPSOFT_WERROR=1 makes warnings errors, TEMPSOFT_DEBUG=1 builds without optimisation,
TEMPSOFT_SANITIZE=address,undefined and TEMPSOFT_COVERAGE=1 do what they say, TEMPSOFT_EMULATE_AVX512=1 builds the
AVX-512 kernels with their intrinsics in plain C, to test them on a CPU without AVX-512.
"""

import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

KERNEL = Path("tempsoft/kernel")
SOURCES = ["dispatch.c", "philox.c", "isa_scalar.c", "isa_avx2.c", "isa_avx512.c"]


def switch(name: str) -> str:
    value = os.environ.get(f"TEMPSOFT_{name}", "")
    return "" if value == "0" else value


def flags() -> tuple[list[str], list[str]]:
    """(compile, link) arguments."""
    if sys.platform == "win32":
        return ["/O2", "/fp:precise", "/std:c11"], []
    # the order of operations is part of the result: no contraction, and never -ffast-math
    compiler = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-strict-aliasing"]
    compiler += ["-fvisibility=hidden", "-pthread"]
    compiler += ["-g0"]  # Python's own flags have -g, which takes as long as all else and ten times the room
    linker = ["-pthread"]
    if switch("DEBUG"):
        compiler += ["-O0", "-g"]
    if switch("WERROR"):
        compiler += ["-Wall", "-Wextra", "-Werror"]
    if sanitizers := switch("SANITIZE"):
        compiler += [f"-fsanitize={sanitizers}", "-fno-omit-frame-pointer", "-g"]
        linker += [f"-fsanitize={sanitizers}"]
    if switch("COVERAGE"):
        compiler += ["--coverage", "-O0"]
        linker += ["--coverage"]
    return compiler, linker


class BuildTogether(build_ext):
    """Compiles the sources of an extension at the same time, where setuptools takes one after another, and those of the
    kernels, which need no header of Python or NumPy and take most of the time, only if they or the flags have changed.
    """

    def build_extensions(self) -> None:
        compile_all = self.compiler.compile
        key = repr((self.compiler.compiler_so if hasattr(self.compiler, "compiler_so") else None, compile_args, macros))
        kept = f"build/kernel-{hashlib.sha256(key.encode()).hexdigest()[:12]}"

        def compile_one(source: str, **kwargs) -> list[str]:
            if Path(source).parent != KERNEL:
                return compile_all([source], **kwargs)
            (done,) = self.compiler.object_filenames([source], output_dir=kept)
            if newer_group([source, "setup.py", *headers], done):
                (made,) = compile_all([source], **{**kwargs, "output_dir": f"{kept}/unfinished"})
                os.makedirs(os.path.dirname(done), exist_ok=True)
                os.replace(made, done)
            return [done]

        def compile_each(sources: list[str], **kwargs) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for its compiler
                objects = pool.map(lambda source: compile_one(source, **kwargs), sources)
                return [name for names in objects for name in names]

        self.compiler.compile = compile_each
        super().build_extensions()


compile_args, link_args = flags()
macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")]
headers = [str(path) for folder in (KERNEL, Path("tests/emulation")) for path in sorted(folder.glob("*.h"))]
include_dirs = ["tempsoft", numpy.get_include()]
if switch("EMULATE_AVX512"):
    macros.append(("TEMPSOFT_EMULATE_AVX512", "1"))
    include_dirs.append("tests/emulation")

setup(
    cmdclass={"build_ext": BuildTogether},
    ext_modules=cythonize(
        Extension(
            "tempsoft._kernels",
            sources=["tempsoft/_kernels.pyx", *(str(KERNEL / name) for name in SOURCES)],
            depends=headers,
            include_dirs=include_dirs,
            define_macros=macros,
            extra_compile_args=compile_args,
            extra_link_args=link_args,
        )
    ),
)
