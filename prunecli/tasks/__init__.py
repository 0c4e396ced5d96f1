"""GLUE, SQuAD and data of one's own: rows, features, metrics.

tasks.toml, base.py   the known tasks, as a table
own.py, columns.py    a task for data of one's own, told from the columns
files.py, data.py     rows from files, the hub or the package, each of them checked
labels.py             names and ids of labels
kinds/                ONE FILE PER KIND OF TASK: columns in, token ids, a collator and a score out
features.py           what the Trainer needs of a task; what kinds share
metrics.py, squad.py, entities.py   the arithmetic of scores
"""

from prunecli.tasks.base import Task, known_task, tasks
from prunecli.tasks.data import TaskData, check_task, load_split, load_task

__all__ = ["Task", "TaskData", "check_task", "known_task", "load_split", "load_task", "tasks"]
