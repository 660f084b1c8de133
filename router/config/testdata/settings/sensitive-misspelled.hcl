  config {
    passwrod = "hunter2"
    host = 5 + "x"
  }
