"""What is imported aside does not hold up the end of the interpreter."""

import subprocess
import sys
from pathlib import Path

ENDLESS = """
import importlib.machinery, threading, types

class Endless:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith("endless_"):
            return importlib.machinery.ModuleSpec(name, Endless)
    @staticmethod
    def create_module(spec):
        return types.ModuleType(spec.name)
    @staticmethod
    def exec_module(module):
        pass

import sys
sys.meta_path.append(Endless)
begun.set()
number = 0
while threading.current_thread() is not threading.main_thread():
    number += 1
    importlib.import_module(f"endless_{number % 50}")
    sys.modules.pop(f"endless_{number % 50}")
"""
PROGRAM = """
import builtins, threading
from lab.lazy import in_background

builtins.begun = threading.Event()

class Late:
    def __del__(self):
        import never_done  # as LiteLLM's clients do: it waits for whoever imports it

def run():
    import never_done

in_background(run, "aside")
begun.wait()
late = Late()
late.own = late
del late  # in a circle: taken down at the very end, while modules can still be imported
"""


def test_a_program_ends_in_the_midst_of_an_import(tmp_path: Path) -> None:
    """Its last objects import what the thread was importing, and would wait for it for ever."""
    (tmp_path / "never_done.py").write_text(ENDLESS)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


WAITS = """
import sys, threading
from lab import Lab

lab = Lab(sys.argv[1])  # begins to import LiteLLM
begun = threading.Event()


def ask():
    begun.set()
    lab.explain("hi", model="gpt-4o-mini")  # waits for it


threading.Thread(target=ask, daemon=True).start()
begun.wait()
lab.state()  # has its turn on the loop after that
"""


def test_a_program_ends_while_a_call_waits_for_what_is_imported(tmp_path: Path) -> None:
    """The call is told, and the loop that it runs on lives to be closed."""
    (tmp_path / "program.py").write_text(WAITS)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "lab.db")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
