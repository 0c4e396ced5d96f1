"""GLUE, SQuAD and data of one's own: rows, features, metrics."""

from prunecli.tasks.base import Task, known_task, tasks
from prunecli.tasks.data import TaskData, load_task

__all__ = ["Task", "TaskData", "known_task", "load_task", "tasks"]
