"""``python -m hilum``: the program, where no ``hilum`` is on the PATH."""

from hilum.cli import main

if __name__ == "__main__":
    main()
