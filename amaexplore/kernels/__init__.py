"""numba loops: arrays and numbers in, arrays out. They validate nothing; the rooms that call them do."""
