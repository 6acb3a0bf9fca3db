from . import solvers
from .solve import Solution, Status, iterates, solve
