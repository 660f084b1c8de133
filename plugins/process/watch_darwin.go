package process

func newNotifier() notifier { return noNotifier{} }
