package atom

// Progress is what a Create that takes long has come to. It is for people to
// see: nothing may depend on it, and an engine may give none.
type Progress struct {
	// Backend is whose progress it is. Routers fill it in, engines leave it
	// empty.
	Backend string
	// Phase is what is being done. There may be others than those below.
	Phase Phase
	// Text says it in words, on one line: "pulling docker.io/library/alpine:3".
	Text string
	// Done and Total are bytes; zero where there is nothing to count. Total
	// may grow while more of the work comes to light.
	Done, Total int64
}

// Phase names a part of a Create.
type Phase string

const (
	// PhasePulling: the image is on its way.
	PhasePulling Phase = "pulling"
	// PhaseUnpacking: the image is there, and its layers are being laid out.
	PhaseUnpacking Phase = "unpacking"
	// PhasePassedOver: a router goes on to the next backend.
	PhasePassedOver Phase = "passed_over"
)

// Report tells the caller of a Create how it gets on, where it asked to know.
// It is for engines, who call it from one goroutine at a time and not after
// their Create has returned.
func (r *EngineCreateRequest) Report(p Progress) {
	if r.Progress != nil {
		r.Progress(p)
	}
}
