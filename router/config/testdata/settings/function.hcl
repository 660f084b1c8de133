  config {
    host = getnev("HOME")
    qps = lookup("a", "b", 1)
  }
