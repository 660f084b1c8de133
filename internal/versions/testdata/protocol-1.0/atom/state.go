package atom

// State is where an atom is in its life.
type State string

const (
	// Created atoms exist and have not started: their image is being
	// fetched, or they wait to be scheduled.
	Created State = "created"
	// Running atoms have a live process.
	Running State = "running"
	// Stopping atoms were asked to stop and still run.
	Stopping State = "stopping"
	// Stopped atoms have ended, or will never start; Result says how.
	Stopped State = "stopped"
	// Deleting atoms are being removed.
	Deleting State = "deleting"
	// Deleted atoms are gone; only a Wait that saw them go returns one.
	Deleted State = "deleted"
	// Invalid is what a backend's word that makes no sense becomes.
	Invalid State = "invalid"
)

// Done reports whether an atom in this state will never run again.
func (s State) Done() bool { return s == Stopped || s == Deleted || s == Invalid }

// ParseState returns the State that s names, and Invalid for anything else.
func ParseState(s string) State {
	switch st := State(s); st {
	case Created, Running, Stopping, Stopped, Deleting, Deleted:
		return st
	}
	return Invalid
}
