return put(4)
