"""`python -m mytorch`: the same as the command `mytorch`, for what starts programs by module, as torchrun does."""

from mytorch.cli import main

if __name__ == "__main__":
    main()
