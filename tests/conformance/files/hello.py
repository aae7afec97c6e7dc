import sys

sys.stdout.write("hello " + " ".join(sys.argv[1:]) + "\n")
