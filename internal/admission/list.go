package admission

// list is a doubly linked list. The nodes live in the elements: the list allocates nothing, and
// an element can leave from the middle.
type list[T any] struct{ first, last *node[T] }

type node[T any] struct {
	prev, next *node[T]
	of         *T
}

func (l *list[T]) push(n *node[T]) {
	n.prev, n.next = l.last, nil
	if l.last == nil {
		l.first = n
	} else {
		l.last.next = n
	}
	l.last = n
}

func (l *list[T]) remove(n *node[T]) {
	if n.prev == nil {
		l.first = n.next
	} else {
		n.prev.next = n.next
	}
	if n.next == nil {
		l.last = n.prev
	} else {
		n.next.prev = n.prev
	}
	n.prev, n.next = nil, nil
}

// front returns the element that has been in the list longest, nil if the list is empty.
func (l *list[T]) front() *T {
	if l.first == nil {
		return nil
	}
	return l.first.of
}
