  config {
    password = ["hunter2"]
  }
