// SPDX-License-Identifier: Apache-2.0
// compileKernels(): a queue of kernels, served by worker processes.
//
// A worker is the compiler's own program started with kHalideWorkerFlag. It
// talks over one socket, its standard input: frames of an 8-byte length and
// that many bytes. The first frame to it is the target, each further one a
// kernel; each frame back is a compiled kernel or an error text. A worker that
// dies takes down the one kernel that it had; the next kernel gets a new one.

#include "KernelCache.h"
#include "WorkerProtocol.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace itera;
using namespace itera::halide;

extern char **environ;

namespace {

/// One child process and the kernel that it is at.
class Worker {
public:
  static llvm::Expected<Worker> start(const KernelOptions &options);
  Worker(Worker &&other)
      : kernel(other.kernel), pid(std::exchange(other.pid, -1)),
        socket(std::exchange(other.socket, -1)),
        errors(std::exchange(other.errors, -1)), input(std::move(other.input)) {
  }
  Worker &operator=(Worker &&) = delete;
  ~Worker() { stop(); }

  bool send(llvm::StringRef payload) { return sendFrame(socket, payload); }
  int descriptor() const { return socket; }
  /// Reads what has come; true while the worker lives.
  bool receive();
  /// The next whole frame, if one has come.
  std::optional<std::string> frame();
  /// Ends it and tells how it ended, with the last line that it wrote.
  std::string stop();

  size_t kernel = 0;

private:
  Worker() = default;
  pid_t pid = -1;
  int socket = -1;
  int errors = -1; // what it writes to its standard error
  std::string input;
};

} // namespace

llvm::Expected<Worker> Worker::start(const KernelOptions &options) {
  Worker worker;
  int sockets[2];
  auto problem = [&](const char *what, int code) {
    return llvm::createStringError("cannot start the kernel worker '" +
                                   options.workerProgram + "': " + what + ": " +
                                   std::strerror(code));
  };
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets))
    return problem("socketpair", errno);
  worker.socket = sockets[0];
  worker.errors = memfd_create("kernel worker", MFD_CLOEXEC);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, sockets[1], 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  if (worker.errors >= 0)
    posix_spawn_file_actions_adddup2(&actions, worker.errors, 2);
  std::string flag = kHalideWorkerFlag;
  std::string program = options.workerProgram;
  char *arguments[] = {program.data(), flag.data(), nullptr};
  int code = posix_spawn(&worker.pid, program.c_str(), &actions, nullptr,
                         arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(sockets[1]);
  if (code) {
    worker.pid = -1;
    return problem("spawn", code);
  }
  worker.send(encodeTarget(options.target));
  return std::move(worker);
}

bool Worker::receive() {
  char chunk[65536];
  ssize_t count;
  do
    count = recv(socket, chunk, sizeof chunk, 0);
  while (count < 0 && errno == EINTR);
  if (count <= 0)
    return false;
  input.append(chunk, count);
  return true;
}

std::optional<std::string> Worker::frame() {
  ByteReader reader{input};
  llvm::StringRef payload = reader.string();
  if (reader.failed)
    return std::nullopt;
  std::string result = payload.str();
  input.erase(0, 8 + result.size());
  return result;
}

std::string Worker::stop() {
  if (socket >= 0)
    close(socket);
  socket = -1;
  int status = 0;
  if (pid > 0)
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
      ;
  pid = -1;
  std::string text;
  if (WIFSIGNALED(status))
    text = std::string("the worker died: ") + strsignal(WTERMSIG(status));
  else
    text = "the worker exited with code " + std::to_string(WEXITSTATUS(status));
  if (errors >= 0) {
    // The message of a failed assertion is among the last lines.
    off_t size = lseek(errors, 0, SEEK_END);
    std::string tail(std::min<off_t>(std::max<off_t>(size, 0), 4096), '\0');
    ssize_t count =
        pread(errors, tail.data(), tail.size(), size - off_t(tail.size()));
    tail.resize(std::max<ssize_t>(count, 0));
    llvm::SmallVector<llvm::StringRef> lines;
    llvm::StringRef(tail).split(lines, '\n', -1, /*KeepEmpty=*/false);
    for (llvm::StringRef line : lines)
      if (line.contains("Assertion") || line.contains("LLVM ERROR") ||
          &line == &lines.back()) {
        text += ": " + line.trim().str();
        break;
      }
    close(errors);
    errors = -1;
  }
  return text;
}

namespace {

/// The state of one compileKernels() call.
struct Pool {
  llvm::ArrayRef<KernelRequest> requests;
  const KernelOptions &options;
  KernelCache cache;
  std::vector<std::optional<llvm::Expected<CompiledKernel>>> results;
  std::vector<size_t> queue; // last first
  std::vector<Worker> workers;

  void fail(size_t kernel, const llvm::Twine &why) {
    results[kernel].emplace(llvm::createStringError(
        "kernel '" + requests[kernel].symbol + "': " + why));
  }

  /// Hands the next kernel to a worker; false if there is none or it is dead.
  bool feed(Worker &worker) {
    if (queue.empty())
      return false;
    worker.kernel = queue.back();
    queue.pop_back();
    if (worker.send(encodeRequest(requests[worker.kernel])))
      return true;
    fail(worker.kernel, worker.stop());
    return false;
  }

  void fill() {
    unsigned jobs = std::max(1u, options.jobs);
    while (workers.size() < jobs && !queue.empty()) {
      llvm::Expected<Worker> worker = Worker::start(options);
      if (!worker) {
        std::string why = llvm::toString(worker.takeError());
        // Without workers nothing will come of the queue.
        if (workers.empty())
          for (; !queue.empty(); queue.pop_back())
            fail(queue.back(), why);
        return;
      }
      workers.push_back(std::move(*worker));
      if (!feed(workers.back()))
        workers.pop_back();
    }
  }

  /// Takes what a worker has sent; false when it is of no more use.
  bool serve(Worker &worker) {
    if (!worker.receive()) {
      fail(worker.kernel, worker.stop());
      return false;
    }
    std::optional<std::string> reply = worker.frame();
    if (!reply)
      return true;
    llvm::Expected<CompiledKernel> kernel = decodeReply(*reply);
    if (kernel)
      cache.insert(requests[worker.kernel], *kernel);
    results[worker.kernel].emplace(std::move(kernel));
    return feed(worker);
  }

  void run() {
    fill();
    while (!workers.empty()) {
      std::vector<pollfd> polls;
      for (Worker &worker : workers)
        polls.push_back({worker.descriptor(), POLLIN, 0});
      if (poll(polls.data(), polls.size(), -1) < 0 && errno != EINTR)
        break;
      std::vector<Worker> alive;
      for (auto [worker, state] : llvm::zip(workers, polls))
        if (!state.revents || serve(worker))
          alive.push_back(std::move(worker));
      workers.swap(alive);
      fill();
    }
  }
};

} // namespace

std::vector<llvm::Expected<CompiledKernel>>
itera::compileKernels(llvm::ArrayRef<KernelRequest> requests,
                      const KernelOptions &options) {
  Pool pool{requests, options, KernelCache(options.cacheDir, options.target),
            {},       {},      {}};
  pool.results.resize(requests.size());
  for (size_t i = requests.size(); i-- > 0;) {
    if (std::optional<CompiledKernel> kernel = pool.cache.find(requests[i]))
      pool.results[i].emplace(std::move(*kernel));
    else
      pool.queue.push_back(i);
  }
  pool.run();
  std::vector<llvm::Expected<CompiledKernel>> results;
  for (auto [i, result] : llvm::enumerate(pool.results)) {
    if (!result)
      pool.fail(i, "not compiled");
    results.push_back(std::move(*result));
  }
  return results;
}
