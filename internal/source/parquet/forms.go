// SPDX-License-Identifier: Apache-2.0

package parquet

// The structures of parquet.thrift that the library reads, field by field. A test compares them with the library's own, so that a new
// release of it cannot read what is not checked here.
var (
	fileForm = form{
		1: {kind: tI32}, 2: list(tStruct, elementForm), 3: {kind: tI64}, 4: list(tStruct, groupForm), 5: list(tStruct, pairForm), 6: {kind: tBinary},
		7: list(tStruct, form{1: structure(nil), 2: structure(nil), 3: structure(nil)}), 8: structure(form{1: structure(cipherForm), 2: structure(cipherForm)}), 9: {kind: tBinary},
	}
	elementForm = form{
		1: {kind: tI32}, 2: {kind: tI32}, 3: {kind: tI32}, 4: {kind: tBinary}, 5: {kind: tI32}, 6: {kind: tI32}, 7: {kind: tI32}, 8: {kind: tI32}, 9: {kind: tI32},
		10: structure(logicalForm),
	}
	logicalForm = form{
		1: structure(nil), 2: structure(nil), 3: structure(nil), 4: structure(nil), 5: structure(form{1: {kind: tI32}, 2: {kind: tI32}}), 6: structure(nil),
		7: structure(timeForm), 8: structure(timeForm), 10: structure(form{1: {kind: tByte}, 2: {kind: tTrue}}), 11: structure(nil), 12: structure(nil),
		13: structure(nil), 14: structure(nil), 15: structure(nil), 16: structure(form{1: {kind: tByte}}), 17: structure(form{1: {kind: tBinary}}),
		18: structure(form{1: {kind: tBinary}, 2: {kind: tI32}}),
	}
	timeForm   = form{1: {kind: tTrue}, 2: structure(form{1: structure(nil), 2: structure(nil), 3: structure(nil)})}
	cipherForm = form{1: {kind: tBinary}, 2: {kind: tBinary}, 3: {kind: tTrue}}
	pairForm   = form{1: {kind: tBinary}, 2: {kind: tBinary}}
	groupForm  = form{
		1: list(tStruct, chunkForm), 2: {kind: tI64}, 3: {kind: tI64}, 4: list(tStruct, form{1: {kind: tI32}, 2: {kind: tTrue}, 3: {kind: tTrue}}), 5: {kind: tI64},
		6: {kind: tI64}, 7: {kind: tI16},
	}
	chunkForm = form{
		1: {kind: tBinary}, 2: {kind: tI64}, 3: structure(columnForm), 4: {kind: tI64}, 5: {kind: tI32}, 6: {kind: tI64}, 7: {kind: tI32},
		8: structure(form{1: structure(nil), 2: structure(form{1: list(tBinary, nil), 2: {kind: tBinary}})}), 9: {kind: tBinary},
	}
	columnForm = form{
		1: {kind: tI32}, 2: list(tI32, nil), 3: list(tBinary, nil), 4: {kind: tI32}, 5: {kind: tI64}, 6: {kind: tI64}, 7: {kind: tI64}, 8: list(tStruct, pairForm),
		9: {kind: tI64}, 10: {kind: tI64}, 11: {kind: tI64}, 12: structure(statisticsForm), 13: list(tStruct, form{1: {kind: tI32}, 2: {kind: tI32}, 3: {kind: tI32}}),
		14: {kind: tI64}, 15: {kind: tI32}, 16: structure(form{1: {kind: tI64}, 2: list(tI64, nil), 3: list(tI64, nil)}),
		17: structure(form{1: structure(boxForm), 2: list(tI32, nil)}),
	}
	statisticsForm = form{
		1: {kind: tBinary}, 2: {kind: tBinary}, 3: {kind: tI64}, 4: {kind: tI64}, 5: {kind: tBinary}, 6: {kind: tBinary}, 7: {kind: tTrue}, 8: {kind: tTrue}, 9: {kind: tI64},
	}
	boxForm = form{
		1: {kind: tDouble}, 2: {kind: tDouble}, 3: {kind: tDouble}, 4: {kind: tDouble}, 5: {kind: tDouble}, 6: {kind: tDouble}, 7: {kind: tDouble}, 8: {kind: tDouble},
	}
	pageForm = form{
		1: {kind: tI32}, 2: {kind: tI32}, 3: {kind: tI32}, 4: {kind: tI32},
		5: structure(form{1: {kind: tI32}, 2: {kind: tI32}, 3: {kind: tI32}, 4: {kind: tI32}, 5: structure(statisticsForm)}),
		6: structure(nil),
		7: structure(form{1: {kind: tI32}, 2: {kind: tI32}, 3: {kind: tTrue}}),
		8: structure(form{
			1: {kind: tI32}, 2: {kind: tI32}, 3: {kind: tI32}, 4: {kind: tI32}, 5: {kind: tI32}, 6: {kind: tI32}, 7: {kind: tTrue}, 8: structure(statisticsForm),
		}),
	}
)
