/* The few functions of CUDA's driver API that the back-end calls, on the host's memory, for tests without a GPU.
 *
 * It is compiled with NVIDIA's own cuda.h, so a signature or an exported name that differs from the real one does not
 * build. It holds its caller to what the real driver would refuse: no context current, waiting inside of a capture,
 * launching what was not captured. It says nothing about how a GPU behaves.
 */
#include <stdlib.h>
#include <string.h>
#include "cuda.h"

#define EXPORT __attribute__((visibility("default")))
#define OPERATIONS 256

typedef void (*Kernel)(void *);
typedef struct { Kernel kernel; void *to; const void *from; size_t size; } Operation;
typedef struct { Operation operations[OPERATIONS]; int count; } Recording;
typedef struct { int capturing, invalid; Recording recording; } Stream;

static int live, initialised;
static __thread CUcontext current;

static int mode(const char *name) {
    const char *found = getenv("STAND_IN_CUDA");
    return found != NULL && strcmp(found, name) == 0;
}

EXPORT int stand_in_live(void) { return live; }

CUresult EXPORT cuInit(unsigned int flags) {
    if (mode("no-gpu")) return CUDA_ERROR_NO_DEVICE;
    initialised = flags == 0;
    return CUDA_SUCCESS;
}

CUresult EXPORT cuDriverGetVersion(int *version) { *version = CUDA_VERSION; return CUDA_SUCCESS; }

CUresult EXPORT cuGetErrorName(CUresult error, const char **text) {
    *text = error == CUDA_ERROR_NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_STAND_IN";
    return CUDA_SUCCESS;
}

CUresult EXPORT cuGetErrorString(CUresult error, const char **text) {
    *text = error == CUDA_ERROR_NO_DEVICE ? "no CUDA-capable device is detected" : "the stand-in refuses";
    return CUDA_SUCCESS;
}

CUresult EXPORT cuDeviceGetCount(int *count) {
    if (!initialised) return CUDA_ERROR_NOT_INITIALIZED;
    *count = 1;
    return CUDA_SUCCESS;
}

CUresult EXPORT cuDeviceGet(CUdevice *device, int ordinal) { *device = ordinal; return CUDA_SUCCESS; }

CUresult EXPORT cuDeviceGetName(char *name, int size, CUdevice device) {
    const char *given = getenv("STAND_IN_GPU");
    (void)device;
    strncpy(name, given ? given : "Stand-in", (size_t)size - 1);
    return CUDA_SUCCESS;
}

#if CUDA_VERSION < 13000 /* from 13 on the header itself names it so */
#define cuDeviceGetUuid cuDeviceGetUuid_v2
#endif
CUresult EXPORT cuDeviceGetUuid(CUuuid *uuid, CUdevice device) {
    if (mode("uuid-refused")) return CUDA_ERROR_NOT_SUPPORTED;
    memset(uuid->bytes, mode("no-uuid") ? 0 : 0x5a + device, sizeof uuid->bytes);
    return CUDA_SUCCESS;
}

CUresult EXPORT cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    (void)device;
    if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR) *value = 8;
    else if (attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR) *value = 7;
    else return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult EXPORT cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
    (void)device;
    live++;
    *context = (CUcontext)&live;
    return CUDA_SUCCESS;
}

CUresult EXPORT cuDevicePrimaryCtxRelease(CUdevice device) { (void)device; live--; return CUDA_SUCCESS; }

CUresult EXPORT cuCtxSetCurrent(CUcontext context) { current = context; return CUDA_SUCCESS; }

CUresult EXPORT cuMemAlloc(CUdeviceptr *memory, size_t size) {
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (mode("no-memory")) return CUDA_ERROR_OUT_OF_MEMORY;
    live++;
    void *found = malloc(size);
    memset(found, 0xee, size);
    *memory = (CUdeviceptr)found;
    return CUDA_SUCCESS;
}

CUresult EXPORT cuMemFree(CUdeviceptr memory) {
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    live--;
    free((void *)memory);
    return CUDA_SUCCESS;
}

CUresult EXPORT cuMemHostAlloc(void **memory, size_t size, unsigned int flags) {
    if (!current || flags) return CUDA_ERROR_INVALID_CONTEXT;
    live++;
    *memory = malloc(size);
    return CUDA_SUCCESS;
}

CUresult EXPORT cuMemFreeHost(void *memory) {
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    live--;
    free(memory);
    return CUDA_SUCCESS;
}

static void perform(const Operation *operation) {
    if (operation->kernel) operation->kernel(operation->to);
    else memcpy(operation->to, operation->from, operation->size);
}

static CUresult enqueue(CUstream handle, Operation operation) {
    Stream *stream = (Stream *)handle;
    if (!current || !stream) return CUDA_ERROR_INVALID_CONTEXT;
    if (!stream->capturing) perform(&operation);
    else if (stream->recording.count < OPERATIONS) stream->recording.operations[stream->recording.count++] = operation;
    return CUDA_SUCCESS;
}

CUresult EXPORT cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    return enqueue(stream, (Operation){NULL, (void *)to, from, size});
}

CUresult EXPORT cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t size, CUstream stream) {
    return enqueue(stream, (Operation){NULL, to, (const void *)from, size});
}

/* Where the stand-in of TensorRT puts its work, as a library launches kernels. */
EXPORT int stand_in_launch(CUstream handle, Kernel kernel, void *data) {
    Stream *stream = (Stream *)handle;
    if (mode("no-capture") && stream->capturing) {
        stream->invalid = 1;
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return (int)enqueue(handle, (Operation){kernel, data, NULL, 0});
}

CUresult EXPORT cuStreamCreate(CUstream *stream, unsigned int flags) {
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    if (flags != CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    live++;
    *stream = (CUstream)calloc(1, sizeof(Stream));
    return CUDA_SUCCESS;
}

CUresult EXPORT cuStreamDestroy(CUstream stream) {
    if (!current) return CUDA_ERROR_INVALID_CONTEXT;
    live--;
    free(stream);
    return CUDA_SUCCESS;
}

CUresult EXPORT cuStreamSynchronize(CUstream stream) {
    return ((Stream *)stream)->capturing ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : CUDA_SUCCESS;
}

CUresult EXPORT cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode how) {
    Stream *stream = (Stream *)handle;
    if (stream->capturing || how != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) return CUDA_ERROR_ILLEGAL_STATE;
    stream->capturing = 1;
    stream->recording.count = 0;
    return CUDA_SUCCESS;
}

CUresult EXPORT cuStreamEndCapture(CUstream handle, CUgraph *graph) {
    Stream *stream = (Stream *)handle;
    if (!stream->capturing) return CUDA_ERROR_ILLEGAL_STATE;
    stream->capturing = 0;
    if (stream->invalid) {
        stream->invalid = 0;
        *graph = NULL;
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    Recording *made = malloc(sizeof *made);
    *made = stream->recording;
    live++;
    *graph = (CUgraph)made;
    return CUDA_SUCCESS;
}

CUresult EXPORT cuGraphInstantiate(CUgraphExec *launchable, CUgraph graph, unsigned long long flags) {
    if (!graph || flags) return CUDA_ERROR_INVALID_VALUE;
    Recording *made = malloc(sizeof *made);
    *made = *(Recording *)graph;
    live++;
    *launchable = (CUgraphExec)made;
    return CUDA_SUCCESS;
}

CUresult EXPORT cuGraphLaunch(CUgraphExec launchable, CUstream handle) {
    Stream *stream = (Stream *)handle;
    if (!launchable || !current || stream->capturing) return CUDA_ERROR_ILLEGAL_STATE;
    const Recording *recording = (const Recording *)launchable;
    for (int index = 0; index < recording->count; index++) perform(&recording->operations[index]);
    return CUDA_SUCCESS;
}

CUresult EXPORT cuGraphExecDestroy(CUgraphExec launchable) { live--; free(launchable); return CUDA_SUCCESS; }

CUresult EXPORT cuGraphDestroy(CUgraph graph) { live--; free(graph); return CUDA_SUCCESS; }
